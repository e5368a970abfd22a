import { Image, StyleSheet, View } from "react-native";

export const COLOURED = false;

/** The grey map laid over the image as light: React Native hands out no pixels to colour. */
export function HeatMap({ base64, opacity }: { base64: string; opacity: number }) {
  return (
    <View aria-hidden style={[StyleSheet.absoluteFill, { opacity, mixBlendMode: "screen" }]}>
      <Image source={{ uri: `data:image/png;base64,${base64}` }} style={StyleSheet.absoluteFill} />
    </View>
  );
}
