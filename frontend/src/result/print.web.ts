/** Opens the browser's print dialogue for a page, where it can be saved as PDF. */
export async function print(html: string): Promise<void> {
  document.getElementById("report")?.remove();
  const frame = Object.assign(document.createElement("iframe"), { id: "report", title: "Melalog", srcdoc: html });
  frame.style.cssText = "position:fixed;width:0;height:0;border:0;visibility:hidden";
  await new Promise((done) => { frame.onload = done; document.body.append(frame); });
  frame.contentWindow?.print();
}

export const SHARES = false;
export const embedded = async (uri: string) => uri;
