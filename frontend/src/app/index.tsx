export { Start as default } from "@/screens/Start";
