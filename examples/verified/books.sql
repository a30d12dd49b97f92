CREATE TABLE book(title TEXT, author TEXT, year INTEGER, pages INTEGER);
INSERT INTO book VALUES
  ('Don Quixote', 'Miguel de Cervantes', 1605, 380),
  ('Moby-Dick', 'Herman Melville', 1851, 635),
  ('War and Peace', 'Leo Tolstoy', 1869, 1225),
  ('The Trial', 'Franz Kafka', 1925, 200),
  ('Things Fall Apart', 'Chinua Achebe', 1958, 300);
