import { bearer } from "@/sign-in/session";

import type { Transport } from "./assess";
import { API_URL } from "./base";
import { imagePart, isOffline, onOffline, send } from "./transport";

/** How this device reaches the server. */
export const TRANSPORT: Transport = { url: API_URL, send, imagePart, isOffline, onOffline, bearer };
