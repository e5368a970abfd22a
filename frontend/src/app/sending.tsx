export { Sending as default } from "@/screens/Sending";
