/** The image as a small JPEG in a data address, for the diary. */
export async function thumbnail(uri: string): Promise<string> {
  const source = await createImageBitmap(await (await fetch(uri)).blob());
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 640 });
  canvas.getContext("2d")?.drawImage(source, 0, 0, 640, 640);
  return canvas.toDataURL("image/jpeg", 0.85);
}
