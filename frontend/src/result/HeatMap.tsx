import { Image, StyleSheet } from "react-native";

export const COLOURED = false;

/** The grey map laid over the picture as light: React Native hands out no pixels to colour. */
export function HeatMap({ base64, opacity }: { base64: string; opacity: number }) {
  return <Image aria-hidden source={{ uri: `data:image/png;base64,${base64}` }} style={[StyleSheet.absoluteFill, { opacity, mixBlendMode: "screen" }]} />;
}
