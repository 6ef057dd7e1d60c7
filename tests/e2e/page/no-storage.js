const refused = () => {
  throw new DOMException('The operation is insecure.', 'SecurityError');
};
Object.defineProperty(self.indexedDB, 'open', { value: refused });
