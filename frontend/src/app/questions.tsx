export { Questions as default } from "@/screens/Questions";
