import { Redirect, router } from "expo-router";
import { useEffect, useRef, useState } from "react";
import { Image, StyleSheet, View } from "react-native";

import { TRANSPORT } from "@/api/default-transport";
import { preview, type Preview } from "@/api/preview";
import { useFlow } from "@/flow/context";
import { prepare } from "@/image/prepare";
import { Source } from "@/image/Source";
import { UNTOUCHED, type Edit, type PreparedImage } from "@/image/types";
import { plain, refusal, useWords } from "@/strings";
import { useColours } from "@/theme";
import { Button, Card, List, Notice, Screen, Text } from "@/ui";

/** Photograph or choose, bring the spot into the square, and get advice at once on what could be better. */
export function TakeImage() {
  const { t } = useWords();
  const { flow } = useFlow();
  const [uri, setUri] = useState("");
  const [edit, setEdit] = useState<Edit>(UNTOUCHED);
  const [camera, setCamera] = useState(false);
  const [advised, setAdvised] = useState<PreparedImage>();
  const { image, failed, current } = usePrepared(uri, edit);
  if (!flow.consent) return <Redirect href="/" />;
  const choose = (chosen: string) => { setUri(chosen); setEdit(UNTOUCHED); };
  return (
    <Screen narrow title={t.image.title}>
      <Text kind="title">{t.image.title}</Text>
      <Card>
        <Text>{uri ? t.image.adjust : t.image.hint}</Text>
        {camera ? null : <Frame image={image ?? (uri ? null : flow.image)} />}
        <View role="status">
          {failed ? <Text>{t.image.unreadable}</Text> : null}
          {uri && !image && !failed ? <Text kind="soft">{t.image.preparing}</Text> : null}
          {image && !camera && advised !== image ? <Advice image={image} /> : null}
        </View>
        {uri && !failed && !camera ? <Adjust edit={edit} onChange={setEdit} /> : null}
        {camera ? null : <Use key={image?.uri} image={image ?? (uri ? null : flow.image)} onAdvice={setAdvised} ready={!uri || current} />}
        <Source onChosen={choose} onCamera={setCamera} again={uri !== "" && !failed} />
      </Card>
    </Screen>
  );
}

function usePrepared(uri: string, edit: Edit) {
  const [prepared, setPrepared] = useState<{ uri: string; edit: Edit; image: PreparedImage | null }>();
  useEffect(() => {
    if (!uri) return;
    let current = true;
    const finish = (image: PreparedImage | null) => { if (current) setPrepared({ uri, edit, image }); };
    prepare(uri, edit).then(finish, () => finish(null));
    return () => { current = false; };
  }, [uri, edit]);
  const ready = prepared?.uri === uri ? prepared : undefined;
  const current = ready?.edit === edit;
  return { image: ready?.image ?? null, current, failed: current && ready.image === null };
}

function Frame({ image }: { image: PreparedImage | null }) {
  const { t } = useWords();
  const colours = useColours();
  return (
    <View style={[box.frame, { backgroundColor: colours.tint, borderColor: colours.edge }]}>
      {image
        ? <Image source={{ uri: image.uri }} accessibilityLabel={t.image.alt} alt={t.image.alt} style={box.fill} resizeMode="contain" />
        : <View aria-hidden style={[box.ring, { borderColor: colours.accent }]} />}
    </View>
  );
}

function Advice({ image: { warnings } }: { image: PreparedImage }) {
  const { t } = useWords();
  const colours = useColours();
  if (!warnings.length) return <Text kind="soft">✓ {t.image.good}</Text>;
  return (
    <Notice tone={colours.moderate}>
      <Text kind="bold">{t.image.warningsTitle}</Text>
      <List items={warnings.map((warning) => t.image.warnings[warning])} />
    </Notice>
  );
}

function Adjust({ edit, onChange }: { edit: Edit; onChange: (edit: Edit) => void }) {
  const { t } = useWords();
  const move = (x: number, y: number) => onChange({ ...edit, x: within(edit.x + x), y: within(edit.y + y) });
  return (
    <View role="group" aria-label={t.image.adjust} style={box.tools}>
      <Button sign="⟳" label={t.image.turn} onPress={() => onChange({ ...UNTOUCHED, turns: (edit.turns + 1) % 4 })} />
      <Button sign="+" label={t.image.closer} off={edit.zoom >= 8} onPress={() => onChange({ ...edit, zoom: Math.min(edit.zoom * 1.25, 8) })} />
      <Button sign="−" label={t.image.wider} off={edit.zoom <= 1} onPress={() => onChange({ ...edit, zoom: Math.max(edit.zoom / 1.25, 1) })} />
      <Button sign="←" label={t.image.left} onPress={() => move(-0.05, 0)} />
      <Button sign="→" label={t.image.right} onPress={() => move(0.05, 0)} />
      <Button sign="↑" label={t.image.up} onPress={() => move(0, -0.05)} />
      <Button sign="↓" label={t.image.down} onPress={() => move(0, 0.05)} />
    </View>
  );
}

const within = (share: number) => Math.min(Math.max(share, 0.05), 0.95);

/** The button to go on. The server checks the image first, so that advice to take another one comes before any question. */
function Use({ image, ready, onAdvice }: { image: PreparedImage | null; ready: boolean; onAdvice: (of: PreparedImage) => void }) {
  const { t } = useWords();
  const { flow, act } = useFlow();
  const [check, setCheck] = useState<Preview | "busy">();
  const here = useRef(true);
  useEffect(() => { here.current = true; return () => { here.current = false; }; }, []);
  if (!image) return null;
  const go = () => { act({ is: "image", image }); router.push("/questions"); };
  const checkFirst = async () => {
    setCheck("busy");
    const advice = await preview(image, TRANSPORT);
    if (!here.current) return; // another image was chosen meanwhile
    if (!advice || !(advice.refused || advice.unfamiliar || advice.problems.length)) return go();
    setCheck(advice);
    onAdvice(image);
  };
  if (!ready) return <Button main off label={t.image.preparing} onPress={() => undefined} />;
  if (check === "busy") return <Button main busy off label={t.image.looking} onPress={() => undefined} />;
  if (!check) return <Button main label={t.image.use} onPress={() => void (flow.image === image ? go() : checkFirst())} />;
  return <><ServerAdvice advice={check} />{check.refused ? null : <Button label={t.image.anyway} onPress={go} />}</>;
}

/** The result of the server's check. */
function ServerAdvice({ advice: { problems, unfamiliar, refused } }: { advice: Preview }) {
  const { t, language } = useWords();
  const why = refused ? refusal(refused.problem.detail, t, language) : null;
  const colours = useColours();
  return (
    <Notice tone={refused ? colours.error : colours.moderate}>
      <Text kind="bold" role="alert">{refused ? t.failure.image[0] : t.image.warningsTitle}</Text>
      {why ? <Text>{why}</Text> : null}
      <List items={[...problems.map((id) => plain(t.image.problems, id)), ...(unfamiliar ? [t.image.unfamiliar] : [])]} />
      {refused ? <Text>{t.failure.image[1]}</Text> : null}
    </Notice>
  );
}

const box = StyleSheet.create({
  tools: { flexDirection: "row", direction: "ltr", justifyContent: "space-between", gap: 4, width: "100%", maxWidth: 440, alignSelf: "center" },
  frame: { width: "100%", maxWidth: 440, aspectRatio: 1, alignSelf: "center", borderRadius: 12, borderWidth: 1, overflow: "hidden", alignItems: "center", justifyContent: "center" },
  fill: { width: "100%", height: "100%" }, ring: { width: "45%", aspectRatio: 1, borderRadius: 999, borderWidth: 3, borderStyle: "dashed" },
});
