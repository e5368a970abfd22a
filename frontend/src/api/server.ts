import { questions, signIn } from "@/client";
import { client } from "@/client/client.gen";

import { API_URL } from "./base";
import { send } from "./transport";

client.setConfig({ baseUrl: API_URL, fetch: send });

/** The generated client, with the server's address. */
export const server = { questions, signIn };
