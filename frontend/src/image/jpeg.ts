/**
 * A JPEG without metadata: EXIF (and with it the place), XMP, IPTC, thumbnails, comments and whatever follows the end of
 * the image go; what decoding needs stays (JFIF APP0, colour profile APP2 "ICC_PROFILE", Adobe APP14).
 * Throws RangeError when the bytes are no JPEG, so that nothing unclean is ever sent.
 */
export function withoutMetadata(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) throw new RangeError("not a JPEG");
  const segments: Uint8Array[] = [bytes.subarray(0, 2)];
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff) throw new RangeError("a marker is missing");
    const marker = bytes[at + 1]!;
    if (marker === 0xff) { at += 1; continue; } // a fill byte
    if (marker === 0xd9) return join([...segments, bytes.subarray(at, at + 2)]);
    const end = marker === 0xda ? scanEnd(bytes, at) : at + 2 + (bytes[at + 2]! << 8) + bytes[at + 3]!;
    if (end > bytes.length) throw new RangeError("cut off");
    if (needed(marker, bytes.subarray(at + 4, end))) segments.push(bytes.subarray(at, end));
    at = end;
  }
  if (at + 2 <= bytes.length && bytes[at + 1] === 0xd9) return join([...segments, bytes.subarray(at, at + 2)]);
  throw new RangeError("no end of image");
}

function needed(marker: number, body: Uint8Array): boolean {
  const starts = (text: string) => [...text].every((letter, i) => body[i] === letter.charCodeAt(0));
  if (marker === 0xfe) return false;
  if (marker < 0xe0 || marker > 0xef) return true;
  return (marker === 0xe0 && starts("JFIF")) || (marker === 0xe2 && starts("ICC_PROFILE")) || (marker === 0xee && starts("Adobe"));
}

/** Where the coded data of a scan ends: at the first marker that is neither a stuffed byte nor a restart. */
function scanEnd(bytes: Uint8Array, start: number): number {
  for (let at = start + 2; at + 1 < bytes.length; at += 1) {
    const next = bytes[at + 1]!;
    if (bytes[at] === 0xff && next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  throw new RangeError("no end of image");
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}
