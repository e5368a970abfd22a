import { router } from "expo-router";
import { useState } from "react";
import { Pressable, StyleSheet, View } from "react-native";

import { useFlow } from "@/flow/context";
import { SignInButton } from "@/sign-in/SignInButton";
import { useSession } from "@/sign-in/session";
import { useWords } from "@/strings";
import { useColours, useWide } from "@/theme";
import { Button, Card, List, Notice, Row, Screen, Text } from "@/ui";

/** What this is and is not, and consent before anything is sent. */
export function Start() {
  const { t } = useWords();
  const wide = useWide();
  const { flow, act } = useFlow();
  const [attempted, setAttempted] = useState(false);
  const session = useSession();
  const signsIn = session?.required && session.possible && !session.signedIn;
  const colours = useColours();
  const begin = () => {
    if (!flow.consent) return setAttempted(true);
    act({ is: "again" }); // another spot, or another person: earlier answers must not go with it
    router.push("/image");
  };
  return (
    <Screen title={t.start.title}>
      <Text kind="title">{t.start.title}</Text>
      <Text>{t.start.lead}</Text>
      <View style={[box.gap, wide && box.columns]}>
        <View style={wide && box.part}><Card><Text kind="heading">{t.start.isTitle}</Text><List items={t.start.is} /></Card></View>
        <View style={wide && box.part}><Card><Text kind="heading">{t.start.isNotTitle}</Text><List items={t.start.isNot} /></Card></View>
      </View>
      <Card>
        <Text kind="heading">{t.start.privacyTitle}</Text>
        <Text>{t.start.privacy}</Text>
        <Consent />
        {attempted && !flow.consent ? <Notice tone={colours.error}><Text role="alert" colour={colours.error}>{t.start.needConsent}</Text></Notice> : null}
        {signsIn ? <Text>{t.signIn.first}</Text> : null}
        <Row>
          {signsIn ? <SignInButton main /> : <Button main label={t.start.begin} onPress={begin} />}
          <Button label={t.start.diary} onPress={() => router.push("/diary")} />
        </Row>
        <Text kind="small">{t.start.diaryHint}</Text>
      </Card>
    </Screen>
  );
}

function Consent() {
  const { t } = useWords();
  const colours = useColours();
  const { flow, act } = useFlow();
  const turn = () => act({ is: "consent", given: !flow.consent });
  const space = { onKeyDown: (event: { key: string; preventDefault: () => void }) => { if (event.key === " ") { event.preventDefault(); turn(); } } };
  return (
    <Pressable role="checkbox" aria-checked={flow.consent} onPress={turn} style={box.consent} {...space}>
      <View style={[box.tick, { borderColor: colours.edge, backgroundColor: flow.consent ? colours.accent : colours.card }]}>
        <Text kind="bold" colour={colours.onAccent}>{flow.consent ? "✓" : ""}</Text>
      </View>
      <Text style={box.part}>{t.start.consent}</Text>
    </Pressable>
  );
}

const box = StyleSheet.create({
  gap: { gap: 16 }, columns: { flexDirection: "row" }, part: { flex: 1 },
  consent: { flexDirection: "row", gap: 12, alignItems: "center", minHeight: 48 },
  tick: { width: 28, height: 28, borderWidth: 2, borderRadius: 6, alignItems: "center", justifyContent: "center" },
});
