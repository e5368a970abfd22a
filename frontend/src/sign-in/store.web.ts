/** Small texts for as long as this tab is open: a browser has no safer place that outlives a page. */
export const store = {
  get: async (name: string) => sessionStorage.getItem(name),
  set: async (name: string, value: string) => sessionStorage.setItem(name, value),
  remove: async (name: string) => sessionStorage.removeItem(name),
};
