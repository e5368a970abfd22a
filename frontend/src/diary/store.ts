import { File, Paths } from "expo-file-system";

import type { Spot, Store } from "./types";

const file = () => new File(Paths.document, "diary.json");
const temporary = () => new File(Paths.document, "diary.new.json");
const remove = (one: File) => { if (one.exists) one.delete(); };

/** One file among the app's documents, replaced as a whole by a rename, so that it is never half written. */
export const store: Store = {
  load: async () => (file().exists ? (JSON.parse(await file().text()) as Spot[]) : []),
  save: async (spots) => {
    remove(temporary());
    const next = temporary();
    next.create();
    next.write(JSON.stringify(spots));
    await next.move(file(), { overwrite: true });
  },
  clear: async () => { [file(), temporary()].forEach(remove); }, // a save that was cut off leaves a temporary file, with images in it
};
