import { Platform } from "react-native";

/** Where the API is. The web build is served by the API itself; a phone needs EXPO_PUBLIC_API_URL at build time. */
export const API_URL = (process.env.EXPO_PUBLIC_API_URL ?? (Platform.OS === "web" ? "" : "http://127.0.0.1:3000")).replace(/\/$/, "");
