export { Result as default } from "@/screens/Result";
