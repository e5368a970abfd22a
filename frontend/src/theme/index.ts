import { useColorScheme, useWindowDimensions } from "react-native";

import { dark, light } from "./colours";

export type { Colours } from "./colours";

export const useColours = () => (useColorScheme() === "dark" ? dark : light);

/** From here on there is room for columns and for all questions on one page. */
export const WIDE = 820;
export const useWide = () => useWindowDimensions().width >= WIDE;
