export { TakePicture as default } from "@/screens/TakePicture";
