import { router } from "expo-router";
import { useEffect, useRef, useState, type PropsWithChildren } from "react";
import { Platform, Pressable, ScrollView, StyleSheet, Text as Plain, View, type TextProps } from "react-native";
import { useSafeAreaInsets } from "react-native-safe-area-context";

import { act } from "@/flow/context";
import { savedFlow } from "@/sign-in/saved-flow";
import { signOut, useSession } from "@/sign-in/session";
import { useColours } from "@/theme";
import "@/theme/print";
import { LANGUAGES, STRINGS, useWords } from "@/strings";

type Kind = "body" | "soft" | "small" | "title" | "heading" | "sub" | "bold" | "figure";

/** Text that grows with the setting of the device. A `lang` other than the app's is announced by screen readers. */
export function Text({ kind = "body", colour, lang, style, ...rest }: TextProps & { kind?: Kind; colour?: string; lang?: string }) {
  const colours = useColours();
  const level = { title: 1, heading: 2, sub: 3 }[kind as string];
  const heading = level ? { role: "heading" as const, "aria-level": level, ...(level === 1 && Platform.OS === "web" ? { tabIndex: -1 as const } : {}) } : {};
  const soft = kind === "soft" || kind === "small";
  return <Plain {...heading} {...{ lang }} {...rest} style={[text.body, text[kind], { color: colour ?? (soft ? colours.soft : colours.ink) }, style]} />;
}

/**
 * A button. `sign` is shown in place of its label, `main` is the primary action. `off` stays focusable, and looks and is announced as disabled; what has to be
 * done first stands in the label, or in `why`, which appears when it is pressed nevertheless and calls `onOff`.
 */
export function Button({ label, onPress, main = false, off = false, why, onOff, busy = false, expanded, pressed: toggled, sign }: {
  label: string; onPress: () => void; main?: boolean; off?: boolean; why?: string; onOff?: () => void; busy?: boolean; expanded?: boolean; pressed?: boolean; sign?: string;
}) {
  const colours = useColours();
  const node = useRef<View>(null);
  const [attempted, setAttempted] = useState(false);
  useEffect(() => { // React Native Web drops aria-disabled on its way to the page, and `disabled` would take the focus away
    if (Platform.OS === "web") (node.current as unknown as HTMLElement | null)?.[off ? "setAttribute" : "removeAttribute"]("aria-disabled", "true");
  }, [off]);
  if (attempted && !off) setAttempted(false);
  const press = () => {
    if (!off) return onPress();
    setAttempted(true);
    onOff?.();
  };
  const filled = main && !off;
  return (
    <>
      <Pressable ref={node} role="button" aria-label={sign && label} aria-disabled={off} aria-busy={busy} aria-expanded={expanded} {...{ "aria-pressed": toggled }} onPress={press}
        style={({ pressed }) => [box.button, sign ? box.sign : null, { backgroundColor: pressed && !off ? colours.tint : filled ? colours.accent : colours.card, borderColor: filled ? colours.accent : colours.edge }, off && box.off]}>
        {({ pressed }) => <Text kind="bold" colour={filled && !pressed ? colours.onAccent : colours.ink} style={text.centre}>{sign ?? label}</Text>}
      </Pressable>
      {off && attempted && why ? <Text role="alert" colour={colours.error}>⚠ {why}</Text> : null}
    </>
  );
}

export function Card({ children }: PropsWithChildren) {
  const colours = useColours();
  return <View style={[box.card, { backgroundColor: colours.card, borderColor: colours.line }]}>{children}</View>;
}

/** Text that must not be missed, with a bar at its side. */
export function Notice({ children, tone }: PropsWithChildren<{ tone?: string }>) {
  const colours = useColours();
  return <View style={[box.notice, { borderStartColor: tone ?? colours.edge }]}>{children}</View>;
}

export function List({ items, lang }: { items: readonly string[]; lang?: string }) {
  return (
    <View role="list" style={box.list}>
      {items.map((item) => (
        <View key={item} role="listitem" style={box.item}><Text aria-hidden>•</Text><Text lang={lang} style={box.grow}>{item}</Text></View>
      ))}
    </View>
  );
}

export const Row = ({ children }: PropsWithChildren) => <View style={box.row}>{children}</View>;

/** A page: name and language above, the content in the middle, readable width. */
export function Screen({ children, title, narrow = false }: PropsWithChildren<{ title: string; narrow?: boolean }>) {
  const colours = useColours();
  useEffect(() => {
    if (Platform.OS !== "web") return;
    document.title = `${title} – Melalog`;
    document.querySelector<HTMLElement>("h1")?.focus(); // so that a screen reader begins where the new page does
  }, [title]);
  const inset = useSafeAreaInsets();
  return (
    <ScrollView style={{ backgroundColor: colours.paper }} contentContainerStyle={[box.page, { paddingTop: 12 + inset.top, paddingBottom: 48 + inset.bottom }]}
      keyboardShouldPersistTaps="handled" {...(Platform.OS === "web" ? { tabIndex: -1 as const } : {})}>
      <Header />
      <View role="main" style={[box.main, narrow && box.narrow]}>{children}</View>
    </ScrollView>
  );
}

function Header() {
  const { t, language, choose } = useWords();
  const session = useSession();
  const colours = useColours();
  return (
    <View role="banner" style={[box.main, box.header]}>
      <Pressable role="link" aria-label={t.nav.home} onPress={() => router.navigate("/")} style={box.touch}>
        <Text kind="bold" colour={colours.accent} style={text.name}>◎ {t.name}</Text>
      </Pressable>
      <View role="group" aria-label={t.nav.language} style={box.row}>
        {LANGUAGES.map((code) => (
          <Pressable key={code} role="button" aria-pressed={code === language} onPress={() => choose(code)} style={box.touch}>
            <Text kind={code === language ? "bold" : "soft"} lang={code} style={code === language && text.chosen}>{STRINGS[code].language}</Text>
          </Pressable>
        ))}
        {session?.signedIn ? (
          <Pressable role="button" onPress={leave} style={box.touch}><Text kind="soft">{t.signIn.out}</Text></Pressable>
        ) : null}
      </View>
    </View>
  );
}

/** Signs out and clears the current flow for the next person at this device. */
function leave(): void {
  act({ is: "left" });
  savedFlow.drop();
  void signOut();
  router.navigate("/");
}

/** A length of type in points; on web in rem, so that the browser's own text size counts. */
export const size = (points: number) => (Platform.OS === "web" ? `${points / 16}rem` as unknown as number : points);

const text = StyleSheet.create({
  body: { fontSize: size(16), lineHeight: size(25), fontFamily: Platform.select({ web: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif' }) },
  soft: {}, small: { fontSize: size(14), lineHeight: size(21) }, bold: { fontWeight: "600" },
  title: { fontSize: size(29), lineHeight: size(36), fontWeight: "700", letterSpacing: -0.4, ...(Platform.OS === "web" ? { outlineStyle: "none" as never } : {}) },
  figure: { fontSize: size(29), lineHeight: size(36), fontWeight: "700" }, heading: { fontSize: size(21), lineHeight: size(28), fontWeight: "700" }, sub: { marginTop: 4, fontSize: size(17), lineHeight: size(24), fontWeight: "600" },
  centre: { textAlign: "center" }, name: { fontSize: size(18) }, chosen: { textDecorationLine: "underline" },
});

const box = StyleSheet.create({
  page: { paddingHorizontal: 16, gap: 16, flexGrow: 1 }, main: { width: "100%", maxWidth: 1100, alignSelf: "center", gap: 16 }, narrow: { maxWidth: 680 },
  header: { flexDirection: "row", flexWrap: "wrap", justifyContent: "space-between", alignItems: "center", gap: 8 }, touch: { minHeight: 44, minWidth: 44, justifyContent: "center", alignItems: "center" },
  card: { borderWidth: 1, borderRadius: 14, padding: 18, gap: 12 }, notice: { borderStartWidth: 4, paddingStart: 14, paddingVertical: 2, gap: 4 },
  button: { minHeight: 48, paddingHorizontal: 18, paddingVertical: 10, borderRadius: 10, borderWidth: 1, justifyContent: "center" },
  off: { opacity: 0.65, borderStyle: "dashed", ...(Platform.OS === "web" ? { cursor: "not-allowed" as never } : {}) },
  sign: { paddingHorizontal: 0, minWidth: 40, flexShrink: 1, flexGrow: 1 },
  row: { flexDirection: "row", flexWrap: "wrap", gap: 10, alignItems: "center" }, list: { gap: 6 }, item: { flexDirection: "row", gap: 8 }, grow: { flex: 1 },
});
