import { useEffect } from "react";
import { Platform, StyleSheet, View } from "react-native";

import { act } from "@/flow/context";
import { useWords } from "@/strings";
import { useColours } from "@/theme";
import { Button, Card, Text } from "@/ui";

/** Shown in place of a page that failed to render. Nothing is reported anywhere. */
export function Broken({ retry }: { retry: () => Promise<void> }) {
  const { t } = useWords();
  const colours = useColours();
  useEffect(() => { if (Platform.OS === "web") document.title = `${t.broken[0]} – ${t.name}`; }, [t]);
  const restart = () => {
    act({ is: "left" });
    if (Platform.OS === "web") location.assign("/");
    else void retry();
  };
  return (
    <View role="main" style={[box.page, { backgroundColor: colours.paper }]}>
      <Text kind="title">{t.broken[0]}</Text>
      <Card><Text role="alert">{t.broken[1]}</Text><Button main label={t.failure.restart} onPress={restart} /></Card>
    </View>
  );
}

const box = StyleSheet.create({ page: { flex: 1, width: "100%", maxWidth: 680, alignSelf: "center", padding: 16, paddingTop: 64, gap: 16 } });
