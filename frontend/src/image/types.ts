/** An image ready to be sent: a square JPEG, made on this device, without metadata. */
export type PreparedImage = { uri: string; bytes: Uint8Array; width: number; height: number; warnings: Warning[] };

/** What the check on the device found; the API's own check decides. */
export type Warning = "small" | "dark" | "bright" | "blurred";

/** What a person does to the image before it is sent. Turns are quarters, clockwise; the square is in shares of the turned image. */
export type Edit = { turns: number; zoom: number; x: number; y: number };

export const UNTOUCHED: Edit = { turns: 0, zoom: 1, x: 0.5, y: 0.5 };
