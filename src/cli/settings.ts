import { type Command, EXIT } from "./command.ts";
import { settingsText } from "./settings-text.ts";

export const SETTINGS_COMMAND: Command = {
  name: "settings",
  summary: "print all settings of serve: flag, variable, description (default)",
  actions: [
    {
      name: "",
      operands: "",
      summary: "",
      async run(_args, io) {
        await io.out(settingsText());
        return EXIT.ok;
      },
    },
  ],
  options: {},
};
