export { SignedIn as default } from "@/screens/SignedIn";
