import { Slot } from "expo-router";
import { StatusBar } from "expo-status-bar";
import { useEffect, useMemo, useState } from "react";
import { I18nManager, Platform, StyleSheet, View } from "react-native";
import { SafeAreaProvider } from "react-native-safe-area-context";

import { FlowProvider } from "@/flow/context";
import { deviceLanguage, RIGHT_TO_LEFT, STRINGS, WordsContext, type Language } from "@/strings";

export default function Layout() {
  const [language, choose] = useState<Language>(deviceLanguage);
  const words = useMemo(() => ({ t: STRINGS[language], language, choose }), [language]);
  const rtl = RIGHT_TO_LEFT.includes(language);
  useEffect(() => {
    if (Platform.OS === "web") {
      Object.assign(document.documentElement, { lang: language, dir: rtl ? "rtl" : "ltr" });
    } else I18nManager.forceRTL(rtl);
  }, [language, rtl]);
  return (
    <SafeAreaProvider>
      <WordsContext.Provider value={words}>
        <FlowProvider><StatusBar style="auto" /><View style={box.whole} {...(Platform.OS === "web" ? { dir: rtl ? "rtl" : "ltr" } : {})}><Slot /></View></FlowProvider>
      </WordsContext.Provider>
    </SafeAreaProvider>
  );
}

const box = StyleSheet.create({ whole: { flex: 1 } });
