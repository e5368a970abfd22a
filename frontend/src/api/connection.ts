import { Failure } from "./problem";

/** The server sends a heartbeat every 2 s once it has begun to answer: so long a silence means that it is gone. */
export const IDLE_MS = 15_000;
const FIRST_BYTE_MS = 60_000, SLOWEST_BYTES_PER_MS = 10;

/** Timeout for the first byte of an answer to `bytes`: a slow connection needs time to send them. */
export const firstByteMs = (bytes: number): number => FIRST_BYTE_MS + bytes / SLOWEST_BYTES_PER_MS;

/** What the device reports about its own network. */
export type NetworkStatus = { isOffline: () => boolean; onOffline: (listener: () => void) => () => void };

/**
 * A request with timeouts. `signal` belongs to the request; `wait` returns what one step of it returns, or
 * throws Failure and aborts the request after `ms` of silence, when the device goes offline or when the step itself fails.
 * Where `outer` aborted it, the AbortError comes through.
 */
export function connect({ isOffline, onOffline }: NetworkStatus, outer?: AbortSignal) {
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
export type Connection = ReturnType<typeof connect>;
