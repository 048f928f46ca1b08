/** Stores the token in the session storage of this tab only, never in an address. */

const TOKEN = "ayder.token";

export const token = (): string | null => sessionStorage.getItem(TOKEN);

export function signIn(value: string): void {
  sessionStorage.setItem(TOKEN, value);
}

export function signOut(): void {
  sessionStorage.removeItem(TOKEN);
}
