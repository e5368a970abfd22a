import { useId, useState } from "react";
import { Pressable, StyleSheet, TextInput, View } from "react-native";

import type { Question } from "@/api/questionnaire";
import { useFlow } from "@/flow/context";
import { fill, plain, sentence, useWords } from "@/strings";
import { useColours } from "@/theme";
import { Text } from "@/ui";
import { Choice } from "@/ui/Choice";

import { complaint } from "./answers";

type Props = { question: Question; typed: string; onTyped: (question: Question, text: string) => void; field: (id: string, node: TextInput | null) => void; open?: boolean };

/** One question with its help, in the app's language where the sentence is known in it. */
export function QuestionField({ question, typed, onTyped, field, open = false }: Props) {
  const { t, language } = useWords();
  const colours = useColours();
  const [helpOpen, setHelpOpen] = useState(open);
  const text = sentence(question.text, language), help = sentence(question.help, language);
  return (
    <View style={[box.question, { borderTopColor: colours.line }]}>
      <View style={!open && box.columns}>
        <View style={!open && box.half}>
          <Text kind="sub" aria-level={open ? 2 : 3} lang={text.language}>{text.text}</Text>
          {open ? null : (
            <Pressable role="button" aria-expanded={helpOpen} aria-label={`${t.questions.help} ${text.text}`} onPress={() => setHelpOpen(!helpOpen)} style={box.help}>
              <Text kind="small">{helpOpen ? "▾" : "▸"} {t.questions.help}</Text>
            </Pressable>
          )}
        </View>
        <View style={open ? box.under : box.half}>
          {question.type === "integer"
            ? <Age question={question} typed={typed} onTyped={onTyped} field={field} label={text.text} />
            : <Choices question={question} label={text.text} />}
        </View>
      </View>
      {helpOpen ? (
        <View>
          <Text kind="soft" lang={help.language}>{help.text}</Text>
          {question.source ? <Text kind="small">{fill(t.questions.source, { source: question.source })}</Text> : null}
        </View>
      ) : null}
    </View>
  );
}

function Choices({ question, label }: { question: Question; label: string }) {
  const { t, language } = useWords();
  const { flow, act } = useFlow();
  const values = [...(question.choices ?? []).filter((value) => value !== "unsure"), "unsure"];
  const choiceLabel = (value: string) => {
    const translated = question.labels?.[value];
    return translated ? sentence(translated, language).text : plain(t.questions.choices, value);
  };
  return (
    <Choice label={label} value={String(flow.answers[question.id] ?? "unsure")} options={values.map((value) => ({ value, label: choiceLabel(value) }))}
      onChange={(value) => act({ is: "answer", id: question.id, value })} />
  );
}

function Age({ question, typed, onTyped, field, label }: Omit<Props, "open"> & { label: string }) {
  const { t } = useWords();
  const colours = useColours();
  const id = useId();
  const wrong = complaint(question, typed);
  return (
    <View>
      <TextInput ref={(node) => field(question.id, node)} value={typed} onChangeText={(text) => onTyped(question, text)} inputMode="numeric" maxLength={4} aria-label={label}
        {...{ "aria-invalid": wrong, "aria-describedby": id }}
        style={[box.number, { color: colours.ink, borderColor: wrong ? colours.error : colours.edge, backgroundColor: colours.card }]} />
      <View nativeID={id}>
        {wrong ? <Text role="alert" colour={colours.error}>⚠ {fill(t.questions.range, { min: question.minimum ?? 0, max: question.maximum ?? "" })}</Text> : null}
      </View>
    </View>
  );
}

const box = StyleSheet.create({
  question: { gap: 8, borderTopWidth: 1, paddingTop: 14 }, columns: { flexDirection: "row", gap: 24, alignItems: "center" }, half: { flex: 1 }, under: { marginTop: 8 },
  help: { minHeight: 32, alignSelf: "flex-start", justifyContent: "center" },
  number: { fontSize: 18, minHeight: 48, width: 120, borderWidth: 1, borderRadius: 10, paddingHorizontal: 14 },
});
