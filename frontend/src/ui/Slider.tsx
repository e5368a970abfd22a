import { useRef, useState } from "react";
import { PanResponder, StyleSheet, View } from "react-native";

import { useColours } from "@/theme";

export type SliderProps = { label: string; value: number; text: string; onChange: (value: number) => void };

/** A share from 0 to 1, by finger or by a screen reader's up and down. */
export function Slider({ label, value, text, onChange }: SliderProps) {
  const colours = useColours();
  const [width, setWidth] = useState(1);
  const latest = useRef({ width, onChange });
  latest.current = { width, onChange };
  const move = (x: number) => latest.current.onChange(Math.min(Math.max(x / latest.current.width, 0), 1));
  const [pan] = useState(() => PanResponder.create({
    onStartShouldSetPanResponder: () => true,
    onPanResponderGrant: (event) => move(event.nativeEvent.locationX),
    onPanResponderMove: (event) => move(event.nativeEvent.locationX),
  }));
  return (
    <View accessible role="slider" aria-label={label} aria-valuetext={text} style={box.track} onLayout={(event) => setWidth(event.nativeEvent.layout.width)}
      accessibilityActions={[{ name: "increment" }, { name: "decrement" }]} {...pan.panHandlers}
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
