import { useState } from "react";
import { I18nManager, StyleSheet, View, type GestureResponderEvent } from "react-native";

import { useColours } from "@/theme";

export type SliderProps = { label: string; value: number; text: string; onChange: (value: number) => void };

/** A share from 0 to 1, by finger or by a screen reader's up and down. */
export function Slider({ label, value, text, onChange }: SliderProps) {
  const colours = useColours();
  const [width, setWidth] = useState(1);
  const move = (event: GestureResponderEvent) => {
    const share = Math.min(Math.max(event.nativeEvent.locationX / width, 0), 1);
    onChange(I18nManager.isRTL ? 1 - share : share);
  };
  return (
    <View accessible role="slider" aria-label={label} aria-valuetext={text} style={box.track} onLayout={(event) => setWidth(event.nativeEvent.layout.width)}
      accessibilityActions={[{ name: "increment" }, { name: "decrement" }]} onStartShouldSetResponder={() => true} onResponderGrant={move} onResponderMove={move}
      onAccessibilityAction={(event) => onChange(Math.min(Math.max(value + (event.nativeEvent.actionName === "increment" ? 0.1 : -0.1), 0), 1))}>
      <View pointerEvents="none" style={[box.line, { backgroundColor: colours.edge }]} />
      <View pointerEvents="none" style={[box.knob, { backgroundColor: colours.accent, start: `${value * 92}%` }]} />
    </View>
  );
}

const box = StyleSheet.create({
  track: { height: 44, justifyContent: "center" }, line: { height: 4, borderRadius: 2 },
  knob: { position: "absolute", width: 26, height: 26, borderRadius: 13 },
});
