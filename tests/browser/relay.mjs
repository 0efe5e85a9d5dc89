export const relayTests = () => ({});
