import { deleteItemAsync, getItemAsync, setItemAsync } from "expo-secure-store";

/** Small texts in the keychain of the phone. */
export const store = { get: getItemAsync, set: setItemAsync, remove: deleteItemAsync };
