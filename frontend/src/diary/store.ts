import { File, Paths } from "expo-file-system";

import type { Spot, Store } from "./types";

const file = () => new File(Paths.document, "diary.json");

/** One file among the app's documents, written beside and then renamed, so that it is never half there. */
export const store: Store = {
  load: async () => (file().exists ? (JSON.parse(await file().text()) as Spot[]) : []),
  save: async (spots) => {
    const beside = new File(Paths.document, "diary.new.json");
    if (beside.exists) beside.delete();
    beside.create();
    beside.write(JSON.stringify(spots));
    await beside.move(file(), { overwrite: true });
  },
  clear: async () => { if (file().exists) file().delete(); },
};
