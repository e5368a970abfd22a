/** The pixels of an image file, upright. HEIC, which most browsers cannot read, is decoded by libheif, loaded only then. Throws when the file is no image. */
export async function bitmap(file: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch (error) {
    if (!isHeic(new Uint8Array(await file.slice(0, 12).arrayBuffer()))) throw error;
    const { heicTo } = await import("heic-to/csp");
    return heicTo({ blob: file, type: "bitmap" });
  }
}

const BRANDS = ["heic", "heix", "heim", "heis", "mif1", "msf1"];

/** Whether a file begins as HEIC does: a box named ftyp with one of its brands (ISO/IEC 23008-12). */
export function isHeic(start: Uint8Array): boolean {
  const text = String.fromCharCode(...start.subarray(4, 12));
  return text.startsWith("ftyp") && BRANDS.includes(text.slice(4));
}
