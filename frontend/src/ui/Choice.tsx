import { useRef } from "react";
import { Platform, Pressable, StyleSheet, View } from "react-native";

import { useColours } from "@/theme";

import { Text } from ".";

export type Option = { value: string; label: string };

const MOVES: Record<string, number> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/** One of several, as a group of radio buttons: touch, Space, and arrows on a keyboard. */
export function Choice({ label, options, value, onChange }: { label: string; options: Option[]; value: string; onChange: (value: string) => void }) {
  const colours = useColours();
  const nodes = useRef<Record<string, View | null>>({});
  const keys = (at: number) => (Platform.OS !== "web" ? {} : {
    onKeyDown: (event: { key: string; preventDefault: () => void }) => {
      const move = event.key === " " ? 0 : MOVES[event.key];
      if (move === undefined) return;
      event.preventDefault();
      const next = options[(at + move + options.length) % options.length]!.value;
      onChange(next);
      nodes.current[next]?.focus();
    },
  });
  return (
    <View role="radiogroup" aria-label={label} style={box.group}>
      {options.map((option, at) => {
        const chosen = option.value === value;
        return (
          <Pressable key={option.value} role="radio" aria-checked={chosen} aria-label={option.label} tabIndex={chosen ? 0 : -1}
            ref={(node) => { nodes.current[option.value] = node; }} onPress={() => onChange(option.value)} {...keys(at)}
            style={[box.pill, { borderColor: chosen ? colours.accent : colours.edge, backgroundColor: chosen ? colours.accent : colours.card }]}>
            <Text kind={chosen ? "bold" : "body"} colour={chosen ? colours.onAccent : colours.ink}>{chosen ? "✓ " : ""}{option.label}</Text>
          </Pressable>
        );
      })}
    </View>
  );
}

const box = StyleSheet.create({
  group: { flexDirection: "row", flexWrap: "wrap", gap: 8 },
  pill: { minHeight: 46, paddingHorizontal: 16, paddingVertical: 9, borderWidth: 1, borderRadius: 10, justifyContent: "center" },
});
