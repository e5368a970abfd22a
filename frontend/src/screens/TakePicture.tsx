import { Redirect, router } from "expo-router";
import { useEffect, useRef, useState } from "react";
import { Image, StyleSheet, View } from "react-native";

import { BY } from "@/api/by";
import { look, type Look } from "@/api/look";
import { useFlow } from "@/flow/context";
import { prepare } from "@/picture/prepare";
import { Source } from "@/picture/Source";
import { UNTOUCHED, type Edit, type Picture } from "@/picture/types";
import { plain, refusal, useWords } from "@/strings";
import { useColours } from "@/theme";
import { Button, Card, List, Notice, Screen, Text } from "@/ui";

/** Photograph or choose, bring the spot into the square, and hear at once what could be better. */
export function TakePicture() {
  const { t } = useWords();
  const { flow } = useFlow();
  const [uri, setUri] = useState("");
  const [edit, setEdit] = useState<Edit>(UNTOUCHED);
  const [camera, setCamera] = useState(false);
  const [heard, setHeard] = useState<Picture>();
  const { picture, failed, current } = usePrepared(uri, edit);
  if (!flow.consent) return <Redirect href="/" />;
  const choose = (chosen: string) => { setUri(chosen); setEdit(UNTOUCHED); };
  return (
    <Screen narrow title={t.picture.title}>
      <Text kind="title">{t.picture.title}</Text>
      <Card>
        <Text>{uri ? t.picture.adjust : t.picture.hint}</Text>
        {camera ? null : <Frame picture={picture ?? (uri ? null : flow.picture)} />}
        <View role="status">
          {failed ? <Text>{t.picture.unreadable}</Text> : null}
          {uri && !picture && !failed ? <Text kind="soft">{t.picture.preparing}</Text> : null}
          {picture && !camera && heard !== picture ? <Advice picture={picture} /> : null}
        </View>
        {uri && !failed && !camera ? <Adjust edit={edit} onChange={setEdit} /> : null}
        {camera ? null : <Use key={picture?.uri} picture={picture ?? (uri ? null : flow.picture)} onHeard={setHeard} ready={!uri || current} />}
        <Source onChosen={choose} onCamera={setCamera} again={uri !== "" && !failed} />
      </Card>
    </Screen>
  );
}

function usePrepared(uri: string, edit: Edit) {
  const [made, setMade] = useState<{ uri: string; edit: Edit; picture: Picture | null }>();
  useEffect(() => {
    if (!uri) return;
    let current = true;
    const keep = (picture: Picture | null) => { if (current) setMade({ uri, edit, picture }); };
    prepare(uri, edit).then(keep, () => keep(null));
    return () => { current = false; };
  }, [uri, edit]);
  const ready = made?.uri === uri ? made : undefined;
  const current = ready?.edit === edit;
  return { picture: ready?.picture ?? null, current, failed: current && ready.picture === null };
}

function Frame({ picture }: { picture: Picture | null }) {
  const { t } = useWords();
  const colours = useColours();
  return (
    <View style={[box.frame, { backgroundColor: colours.tint, borderColor: colours.edge }]}>
      {picture
        ? <Image source={{ uri: picture.uri }} accessibilityLabel={t.picture.alt} alt={t.picture.alt} style={box.fill} resizeMode="contain" />
        : <View aria-hidden style={[box.ring, { borderColor: colours.accent }]} />}
    </View>
  );
}

function Advice({ picture: { warnings } }: { picture: Picture }) {
  const { t } = useWords();
  const colours = useColours();
  if (!warnings.length) return <Text kind="soft">✓ {t.picture.good}</Text>;
  return (
    <Notice tone={colours.moderate}>
      <Text kind="bold">{t.picture.warningsTitle}</Text>
      <List items={warnings.map((warning) => t.picture.warnings[warning])} />
    </Notice>
  );
}

function Adjust({ edit, onChange }: { edit: Edit; onChange: (edit: Edit) => void }) {
  const { t } = useWords();
  const move = (x: number, y: number) => onChange({ ...edit, x: within(edit.x + x), y: within(edit.y + y) });
  return (
    <View role="group" aria-label={t.picture.adjust} style={box.tools}>
      <Button sign="⟳" label={t.picture.turn} onPress={() => onChange({ ...UNTOUCHED, turns: (edit.turns + 1) % 4 })} />
      <Button sign="+" label={t.picture.closer} off={edit.zoom >= 8} onPress={() => onChange({ ...edit, zoom: Math.min(edit.zoom * 1.25, 8) })} />
      <Button sign="−" label={t.picture.wider} off={edit.zoom <= 1} onPress={() => onChange({ ...edit, zoom: Math.max(edit.zoom / 1.25, 1) })} />
      <Button sign="←" label={t.picture.left} onPress={() => move(-0.05, 0)} />
      <Button sign="→" label={t.picture.right} onPress={() => move(0.05, 0)} />
      <Button sign="↑" label={t.picture.up} onPress={() => move(0, -0.05)} />
      <Button sign="↓" label={t.picture.down} onPress={() => move(0, 0.05)} />
    </View>
  );
}

const within = (share: number) => Math.min(Math.max(share, 0.05), 0.95);

/** The way on. The server looks at the picture first, so that who should take another one hears it before any question. */
function Use({ picture, ready, onHeard }: { picture: Picture | null; ready: boolean; onHeard: (of: Picture) => void }) {
  const { t } = useWords();
  const { flow, act } = useFlow();
  const [found, setFound] = useState<Look | "busy">();
  const here = useRef(true);
  useEffect(() => { here.current = true; return () => { here.current = false; }; }, []);
  if (!picture) return null;
  const go = () => { act({ is: "picture", picture }); router.push("/questions"); };
  const ask = async () => {
    setFound("busy");
    const seen = await look(picture, BY);
    if (!here.current) return; // another picture was chosen meanwhile
    if (!seen || !(seen.refused || seen.unfamiliar || seen.problems.length)) return go();
    setFound(seen);
    onHeard(picture);
  };
  if (!ready) return <Button main off label={t.picture.preparing} onPress={() => undefined} />;
  if (found === "busy") return <Button main busy off label={t.picture.looking} onPress={() => undefined} />;
  if (!found) return <Button main label={t.picture.use} onPress={() => void (flow.picture === picture ? go() : ask())} />;
  return <><Heard found={found} />{found.refused ? null : <Button label={t.picture.anyway} onPress={go} />}</>;
}

/** What the server's check says. */
function Heard({ found: { problems, unfamiliar, refused } }: { found: Look }) {
  const { t, language } = useWords();
  const why = refused ? refusal(refused.problem.detail, t, language) : null;
  const colours = useColours();
  return (
    <Notice tone={refused ? colours.error : colours.moderate}>
      <Text kind="bold" role="alert">{refused ? t.failure.picture[0] : t.picture.warningsTitle}</Text>
      {why ? <Text>{why}</Text> : null}
      <List items={[...problems.map((id) => plain(t.picture.found, id)), ...(unfamiliar ? [t.picture.unfamiliar] : [])]} />
      {refused ? <Text>{t.failure.picture[1]}</Text> : null}
    </Notice>
  );
}

const box = StyleSheet.create({
  tools: { flexDirection: "row", direction: "ltr", justifyContent: "space-between", gap: 4, width: "100%", maxWidth: 440, alignSelf: "center" },
  frame: { width: "100%", maxWidth: 440, aspectRatio: 1, alignSelf: "center", borderRadius: 12, borderWidth: 1, overflow: "hidden", alignItems: "center", justifyContent: "center" },
  fill: { width: "100%", height: "100%" }, ring: { width: "45%", aspectRatio: 1, borderRadius: 999, borderWidth: 3, borderStyle: "dashed" },
});
