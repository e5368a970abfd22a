import { Slot } from "expo-router";
import { StatusBar } from "expo-status-bar";
import { useEffect } from "react";
import { I18nManager, Platform, StyleSheet, View } from "react-native";
import { SafeAreaProvider } from "react-native-safe-area-context";

import { RIGHT_TO_LEFT, useWords } from "@/strings";

export { Broken as ErrorBoundary } from "@/screens/Broken";

export default function Layout() {
  const { language } = useWords();
  const rtl = RIGHT_TO_LEFT.includes(language);
  useEffect(() => {
    if (Platform.OS === "web") {
      Object.assign(document.documentElement, { lang: language, dir: rtl ? "rtl" : "ltr" });
    } else I18nManager.forceRTL(rtl);
  }, [language, rtl]);
  return (
    <SafeAreaProvider>
      <StatusBar style="auto" />
      <View style={box.whole} {...(Platform.OS === "web" ? { dir: rtl ? "rtl" : "ltr" } : {})}><Slot /></View>
    </SafeAreaProvider>
  );
}

const box = StyleSheet.create({ whole: { flex: 1 } });
