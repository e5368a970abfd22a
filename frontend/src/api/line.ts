import { Failure } from "./problem";

/** The server sends a heartbeat every 2 s once it has begun to answer, so that so long a silence means it is gone. */
export const IDLE_MS = 15_000;
const FIRST_MS = 60_000, SLOWEST_BYTES_PER_MS = 10;

/** How long the first word of an answer to `bytes` may take: a slow line needs its time to send them. */
export const firstWord = (bytes: number): number => FIRST_MS + bytes / SLOWEST_BYTES_PER_MS;

/** What the device says of its own connection. */
export type Connection = { isOffline: () => boolean; onOffline: (listener: () => void) => () => void };

/**
 * Ends what waits on a server that says nothing. `signal` goes with the request; `wait` gives what a step of it gives, or
 * throws Failure and stops the request after `ms` of silence, when the device goes offline or when the step itself fails.
 * Where `outer` stopped it, its AbortError comes through.
 */
export function line({ isOffline, onOffline }: Connection, outer?: AbortSignal) {
  const stop = new AbortController();
  if (outer?.aborted) stop.abort();
  outer?.addEventListener("abort", () => stop.abort(), { once: true });
  const wait = async <T>(ms: number, step: () => Promise<T>): Promise<T> => {
    const done: (() => void)[] = [];
    const silence = new Promise<never>((_, fail) => {
      const timer = setTimeout(() => fail(new Failure("unreachable")), ms);
      done.push(() => clearTimeout(timer), onOffline(() => fail(new Failure("offline"))));
    });
    try {
      return await Promise.race([step(), silence]);
    } catch (error) {
      stop.abort();
      if (outer?.aborted || error instanceof Failure) throw error;
      throw new Failure(isOffline() ? "offline" : "unreachable");
    } finally {
      for (const end of done) end();
    }
  };
  return { signal: stop.signal, wait };
}
export type Line = ReturnType<typeof line>;
