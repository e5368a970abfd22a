export { Diary as default } from "@/screens/Diary";
