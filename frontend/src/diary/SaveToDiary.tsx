import { useEffect, useState } from "react";
import { View } from "react-native";

import type { Assessment } from "@/client";
import { useFlow } from "@/flow/context";
import type { PreparedImage } from "@/image/types";
import { plain, useWords } from "@/strings";
import { Button, Text } from "@/ui";
import { Choice } from "@/ui/Choice";

import { store } from "./store";
import { thumbnail } from "./thumbnail";
import { added, isSaved, type Spot } from "./types";

const NEW = "new";

/** Offers to save the image in the diary: as a new spot, or as the next photograph of an existing one. */
export function SaveToDiary({ answer, image }: { answer: Assessment; image: PreparedImage }) {
  const { t, language } = useWords();
  const { flow } = useFlow();
  const [spots, setSpots] = useState<Spot[]>([]);
  const [state, setState] = useState<"closed" | "open" | "busy" | "saved" | "full">("closed");
  const [spot, setSpot] = useState(NEW);
  const [site, setSite] = useState(String(flow.answers.body_site ?? "other"));
  useEffect(() => {
    const show = (saved: Spot[]) => { setSpots(saved); if (isSaved(saved, answer.id)) setState("saved"); };
    store.load().then(show, () => setState("full"));
  }, [answer.id]);
  const save = async () => {
    setState("busy");
    const photo = { id: answer.id, date: String(answer.created_at), image: await thumbnail(image.uri), level: answer.risk.level };
    await store.save(added(await store.load(), photo, spot === NEW ? { site } : { id: spot }));
  };
  if (state === "saved") return <Text role="status">✓ {t.result.saved}</Text>;
  if (state === "closed") return <View><Button label={t.result.save} onPress={() => setState("open")} /></View>;
  const option = ({ id, site: at, photos }: Spot) => ({ value: id, label: `${plain(t.sites, at)}, ${new Date(photos[0]!.date).toLocaleDateString(language, { dateStyle: "medium" })}` });
  return (
    <View style={{ gap: 10 }}>
      {spots.length ? <Choice label={t.diary.existing} value={spot} onChange={setSpot} options={[{ value: NEW, label: t.diary.addNew }, ...spots.map(option)]} /> : null}
      {spot === NEW ? (
        <>
          <Text kind="sub" aria-level={2}>{t.diary.site}</Text>
          <Choice label={t.diary.site} value={site} onChange={setSite} options={Object.entries(t.sites).map(([value, label]) => ({ value, label }))} />
        </>
      ) : null}
      {state === "full" ? <Text role="alert">{t.diary.full}</Text> : null}
      <Button label={t.result.save} off={state === "busy"} busy={state === "busy"} onPress={() => void save().then(() => setState("saved"), () => setState("full"))} />
    </View>
  );
}
