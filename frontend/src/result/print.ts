import { File } from "expo-file-system";
import { printToFileAsync } from "expo-print";
import { isAvailableAsync, shareAsync } from "expo-sharing";

export const SHARES = true;

/** Makes a PDF of a page and offers to share or save it. */
export async function print(html: string): Promise<void> {
  const { uri } = await printToFileAsync({ html });
  if (await isAvailableAsync()) await shareAsync(uri, { mimeType: "application/pdf", UTI: "com.adobe.pdf" });
}

/** An image as a data address: what makes the PDF may not read the app's files. */
export const embedded = async (uri: string) => `data:image/jpeg;base64,${await new File(uri).base64()}`;
