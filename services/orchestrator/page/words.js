// What the page calls the values of the API (services/contracts.py, fusion/questionnaire.json). Never "all clear".

export const LEVELS = { low: "Low", moderate: "Moderate", high: "High" };

export const CHOICES = { yes: "Yes", no: "No", unsure: "Not sure", female: "Female", male: "Male" };

export const SECTIONS = { spot: "About the spot", you: "About you" };

export const FIELDS = { image: "The picture", modality: "How it was taken" };

export const CLASSES = {
  akiec: "Actinic keratosis or squamous cell cancer",
  bcc: "Basal cell cancer",
  bkl: "Keratosis (age spot, wart-like spot)",
  df: "Dermatofibroma (firm skin lump)",
  mel: "Melanoma",
  nv: "Mole",
  vasc: "Blood-vessel spot",
};

export const STATUSES = {
  unavailable: "is not available here",
  timeout: "did not answer in time",
  invalid: "gave no usable answer",
};

export const MISSING = {
  classifier: "the classifier did not judge the picture",
  vlm: "the vision-language model did not judge the picture",
  fusion: "the fusion service did not answer, so its rules were applied without it",
  llm: "the hosted language model did not answer, so fixed rules wrote the explanation",
};

export const CONTRIBUTIONS = {
  prior: "Starting point",
  age_sex: "Age and sex",
  person: "Your answers",
  lesion: "What you said of the spot",
  picture: "The picture",
  cap: "Limit on answers",
};

export const RAISED = {
  rapid_growth: "the spot grows quickly",
  melanoma_before_and_change: "a new or changed spot after an earlier melanoma",
  prior_melanoma: "an earlier melanoma",
  bleeding: "the spot bleeds or crusts",
  change: "the spot has changed",
  classifier_threshold: "the picture model finds it suspicious",
  vlm_threshold: "the second picture model finds it suspicious",
  other_skin_cancer: "signs of another skin cancer in the picture",
  llm: "the hosted language model's view",
  no_classifier: "the main model could not judge the picture",
  poor_picture: "the picture is not good enough",
  modality_doubted: "the picture looks like a photograph",
  out_of_distribution: "the picture is unlike those the model learned from",
};

export const QUALITY = {
  good: "The picture is good enough to judge.",
  poor: "The picture is hard to judge",
  unknown: "Picture quality was not checked.",
};

export const PROBLEMS = {
  blurred: "it is blurred",
  dark: "it is too dark",
  bright: "it is too bright",
  flat: "it shows hardly any contrast",
};

export const TAKEN = { dermoscopy: "a picture through a dermatoscope", photograph: "an ordinary photograph" };

const KEPT = "Nothing you entered is lost.";

/** Status of a refused request: what happened, and the way on. */
export const REFUSALS = {
  400: ["The request could not be read", "Load the page anew and try again."],
  413: ["The picture is too large", "Cut it to the spot and its surroundings, or choose a smaller one."],
  415: ["This file cannot be used", "Choose a JPEG, PNG, WebP or HEIC picture."],
  422: ["Something needs another look", ""],
  429: ["The server is busy", KEPT],
  503: ["No assessment is possible right now", KEPT],
  "4xx": ["The server refused this", "Load the page anew and try again."],
  "5xx": ["Something went wrong on the server", "Try again. If it goes on, give the request id to whoever runs this server."],
  offline: ["You are offline", `Connect again, then send once more. ${KEPT}`],
  unreachable: [
    "The server could not be reached",
    "The connection failed, or broke while the picture was being sent. Check it and try again. "
      + "If it goes on, choose the picture anew or try a smaller one.",
  ],
  unreadable: ["The answer could not be read", "The server answered in a way this page does not understand. Try again, or load the page anew."],
};

/** The plain word for a value, or the value itself when a newer server says something new. */
export const plain = (words, value) => words[value] ?? String(value).replaceAll("_", " ");

export function percent(p) {
  if (p == null) return "unknown";
  if (p < 0.001) return "less than 0.1\u00a0%";
  if (p > 0.99) return "more than 99\u00a0%";
  return `${(p * 100).toFixed(p >= 0.1 ? 0 : 1)}\u00a0%`;
}
