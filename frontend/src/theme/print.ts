export {}; // what only a browser prints is in print.web.ts
