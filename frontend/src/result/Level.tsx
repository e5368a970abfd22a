import { StyleSheet, View } from "react-native";
import Svg, { Circle, Path } from "react-native-svg";

import { fill, useWords } from "@/strings";
import { useColours } from "@/theme";
import { size, Text } from "@/ui";

export type LevelName = "low" | "moderate" | "high";
const LEVELS: LevelName[] = ["low", "moderate", "high"];

/** The level as word, shape and colour: circle, triangle, octagon. */
export function Level({ level }: { level: LevelName }) {
  const { t } = useWords();
  const colours = useColours();
  const tints = { low: colours.lowTint, moderate: colours.moderateTint, high: colours.highTint };
  return (
    <View role="img" aria-label={fill(t.result.levelIs, { level: t.result.levels[level] })} style={box.row}>
      {LEVELS.map((name) => {
        const here = name === level;
        return (
          <View key={name} style={[box.one, { borderColor: here ? colours[name] : colours.line, backgroundColor: here ? tints[name] : "transparent" }]}>
            <Shape level={name} colour={here ? colours[name] : colours.edge} filled={here} />
            <Text kind={here ? "bold" : "small"} colour={here ? colours[name] : colours.soft}>{t.result.levels[name]}</Text>
          </View>
        );
      })}
    </View>
  );
}

function Shape({ level, colour, filled }: { level: LevelName; colour: string; filled: boolean }) {
  const paint = { stroke: colour, strokeWidth: 2, fill: filled ? colour : "none" };
  return (
    <Svg width={30} height={30} viewBox="0 0 24 24">
      {level === "low" ? <Circle cx={12} cy={12} r={9} {...paint} /> : null}
      {level === "moderate" ? <Path d="M12 3 22 21H2z" {...paint} /> : null}
      {level === "high" ? <Path d="M8 2h8l6 6v8l-6 6H8l-6-6V8z" {...paint} /> : null}
    </Svg>
  );
}

const box = StyleSheet.create({
  row: { flexDirection: "row", flexWrap: "wrap", gap: 10 }, one: { flexGrow: 1, flexBasis: size(92), maxWidth: size(160), paddingHorizontal: 4, alignItems: "center", gap: 6, borderWidth: 2, borderRadius: 12, paddingVertical: 12 },
});
