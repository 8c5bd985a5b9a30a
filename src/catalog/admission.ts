/** How long the API server waits for one answer of the webhook, in seconds: a lost node costs it for each try. */
export const TRY_SECONDS = 3;
