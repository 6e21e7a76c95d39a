// Preloaded into the child processes: ends them in order when the relay that started them is gone, for whatever reason.
// The channel to the parent closes with the parent, even if it was killed.
process.on("disconnect", () => {
  if (!process.emit("SIGTERM", "SIGTERM")) process.exit(1);
});
process.channel?.unref();
