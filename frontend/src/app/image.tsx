export { TakeImage as default } from "@/screens/TakeImage";
