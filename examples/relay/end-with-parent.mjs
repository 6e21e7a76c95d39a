// Preloaded into the child processes: ends them in good order when the relay that started them is gone, however it went.
// The channel to the parent closes with the parent, even when that was killed.
process.on("disconnect", () => {
  if (!process.emit("SIGTERM", "SIGTERM")) process.exit(1);
});
process.channel?.unref();
