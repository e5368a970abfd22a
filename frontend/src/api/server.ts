import { questions, signIn } from "@/client";
import { client } from "@/client/client.gen";

import { API_URL } from "./base";
import { send } from "./transport";

client.setConfig({ baseUrl: API_URL, fetch: send });

/** The generated client, told where the server is. */
export const server = { questions, signIn };
